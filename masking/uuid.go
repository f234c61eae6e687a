package masking

import "encoding/hex"

// parseUUID reads the text form of a UUID, 8-4-4-4-12 hexadecimal digits.
func parseUUID(cell []byte) (id [16]byte, ok bool) {
	if len(cell) != 36 {
		return id, false
	}
	var digits [32]byte
	n := 0
	for i, c := range cell {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return id, false
			}
			continue
		}
		digits[n] = c
		n++
	}
	_, err := hex.Decode(id[:], digits[:])
	return id, err == nil
}

// appendUUID writes the server's text form of a UUID.
func appendUUID(dst []byte, id *[16]byte) []byte {
	for i, part := range [...][2]int{{0, 4}, {4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, id[part[0]:part[1]])
	}
	return dst
}
