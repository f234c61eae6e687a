package masking

import (
	"bytes"
	"strconv"
)

// street makes a street, with a number when the value has one.
func (p *pseudonymCell) street(s *pseudonymState, value []byte, attempt byte) {
	n := s.number('s', s.lower[0], attempt)
	number := int64(n>>32%9899) + 1
	numbered := bytes.ContainsAny(value, "0123456789")
	before := p.words.streetForm == streetEnglish || p.words.streetForm == streetFrench
	if !before {
		number = number%199 + 1
	}
	if numbered && before {
		s.out = strconv.AppendInt(s.out, number, 10)
		s.out = append(s.out, ' ')
	}
	s.out = p.words.street(s.out, int(n%uint64(p.words.streetCount)))
	if numbered && !before {
		s.out = append(s.out, ' ')
		s.out = strconv.AppendInt(s.out, number, 10)
	}
}

// pickTown makes a town of the whole value.
func (p *pseudonymCell) pickTown(s *pseudonymState, attempt byte) {
	s.out = p.words.town(s.out, int(s.number('t', s.lower[0], attempt)%uint64(p.words.townNum)))
}

// phone makes a telephone number of a range that is reserved for fiction, in the value's form: in North America
// 555-0100 to 555-0199 of any area code (ATIS-0300115), in the United Kingdom, Germany and France the numbers that
// Ofcom, the Bundesnetzagentur and ARCEP have set aside. A number of another form becomes 555-01xx.
func (s *pseudonymState) phone(value []byte, attempt byte) bool {
	var given [20]byte
	n := 0
	for _, c := range value {
		if c >= '0' && c <= '9' {
			if n == len(given) {
				return false
			}
			given[n] = c
			n++
		}
	}
	r := s.number('p', s.lower[0], attempt)
	s.picked = s.picked[:0]
	decimals := func(count int) {
		for range count {
			s.picked = append(s.picked, '0'+byte(r%10))
			r /= 10
		}
	}
	american := func(area bool) {
		if area { // [2-9][0-8]x, and no x11
			s.picked = append(s.picked, '2'+byte(r%8), '0'+byte(r>>8%9))
			last := byte(r >> 16 % 10)
			if last == 1 {
				last = 2
			}
			s.picked = append(s.picked, '0'+last)
			r >>= 24
		}
		s.picked = append(s.picked, "55501"...)
		decimals(2)
	}
	international := n > 0 && bytes.IndexByte(value, '+') >= 0
	switch {
	case international && n == 12 && string(given[:2]) == "44":
		s.picked = append(s.picked, "447700900"...)
		decimals(3)
	case international && n >= 11 && n <= 13 && string(given[:2]) == "49":
		s.picked = append(s.picked, "493023125"...)
		decimals(n - 9)
	case international && n == 11 && string(given[:2]) == "33":
		s.picked = append(s.picked, "3363998"...)
		decimals(4)
	case n == 7:
		american(false)
	case n == 10 && !international:
		american(true)
	case n == 11 && given[0] == '1':
		s.picked = append(s.picked, '1')
		american(true)
	default:
		american(true)
		s.out = append(s.out, s.picked[:3]...)
		s.out = append(s.out, '-')
		s.out = append(s.out, s.picked[3:6]...)
		s.out = append(s.out, '-')
		s.out = append(s.out, s.picked[6:]...)
		return true
	}
	i := 0
	for _, c := range value {
		switch {
		case c >= '0' && c <= '9':
			s.out = append(s.out, s.picked[i])
			i++
		case c == ' ' || c == '-' || c == '.' || c == '(' || c == ')' || c == '/' || c == '+':
			s.out = append(s.out, c)
		}
	}
	return true
}

// address makes an IP address of the networks for documentation (RFC 5737, RFC 3849).
func (s *pseudonymState) address(value []byte, attempt byte) {
	r := s.number('a', s.lower[0], attempt)
	if bytes.IndexByte(value, ':') >= 0 {
		s.out = append(s.out, "2001:db8"...)
		for i := range 6 {
			s.out = append(s.out, ':')
			s.out = strconv.AppendUint(s.out, r>>(10*i)&0x3ff|0x400, 16)
		}
		return
	}
	networks := [...]string{"192.0.2.", "198.51.100.", "203.0.113."}
	s.out = append(s.out, networks[r%3]...)
	s.out = strconv.AppendUint(s.out, 1+r>>8%254, 10)
}

// socialSecurity makes a number that is never given out: an area from 900 to 999 and a group up to 49, which no individual taxpayer
// number has either. Nine digits keep their form.
func (s *pseudonymState) socialSecurity(value []byte, attempt byte) {
	r := s.number('9', s.lower[0], attempt)
	area, middle, serial := 900+r%100, 1+r>>16%49, 1+r>>32%9999
	n := area*1_000_000 + middle*10_000 + serial
	s.picked = strconv.AppendUint(s.picked[:0], n, 10)
	digits := 0
	for _, c := range value {
		if c >= '0' && c <= '9' {
			digits++
		}
	}
	if digits != len(s.picked) {
		s.out = append(s.out, s.picked[:3]...)
		s.out = append(s.out, '-')
		s.out = append(s.out, s.picked[3:5]...)
		s.out = append(s.out, '-')
		s.out = append(s.out, s.picked[5:]...)
		return
	}
	i := 0
	for _, c := range value {
		switch {
		case c >= '0' && c <= '9':
			s.out = append(s.out, s.picked[i])
			i++
		case c == ' ' || c == '-' || c == '.':
			s.out = append(s.out, c)
		}
	}
}

// code puts other letters and digits in the places of letters and digits; other characters stay. It is false
// for what has neither.
func (s *pseudonymState) code(value []byte, attempt byte) bool {
	var r uint64
	used := 0
	for _, c := range string(value) {
		var first rune
		count := uint64(26)
		switch {
		case c >= '0' && c <= '9':
			first, count = '0', 10
		case c >= 'a' && c <= 'z':
			first = 'a'
		case c >= 'A' && c <= 'Z':
			first = 'A'
		case c >= 0x80: // a letter of another alphabet would stay
			first = 'a'
		default:
			s.out = append(s.out, byte(c))
			continue
		}
		if used%8 == 0 {
			s.word = append(append(s.word[:0], byte(used/8), byte(used/2048)), s.lower[0]...)
			r = s.number('c', s.word, attempt)
		}
		used++
		s.out = append(s.out, byte(first)+byte(r%count))
		r /= count
	}
	return used > 0
}
