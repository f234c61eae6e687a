package transport

// key names one side of a session in events. The generation tells sessions that
// have the slot one after the other apart.
type key uint64

const (
	generationBits = 24
	slotBits       = 32
	wakeKey        = key(1<<(generationBits+slotBits+1) - 1) // no session's: the slot is beyond reach
)

func makeKey(generation, slot uint32, side int) key {
	return key(generation&(1<<generationBits-1))<<(slotBits+1) | key(slot)<<1 | key(side)
}

func (k key) generation() uint32 { return uint32(k >> (slotBits + 1)) }
func (k key) slot() uint32       { return uint32(k >> 1) }
func (k key) side() int          { return int(k & 1) }
