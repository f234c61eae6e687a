package session

import "pgveil/sqlparse"

// remember notes what a statement on its way to the server does to temporary relations, and that it changes
// permanent definitions, of which the catalog shows nothing before they are committed.
func (s *Session) remember(st *Statement) {
	if !s.masked {
		return
	}
	s.temp = s.temp.Forward(st.Temp, st.Names == sqlparse.NamesCatalog)
	s.defining = s.defining || st.Names == sqlparse.NamesCatalog
}

// current reports whether a verdict still holds, for what is temporary as well.
func (s *Session) current(v *Verdict) bool {
	return (v == nil || v.Temp == s.temp.Version()) && s.cfg.Judge.Current(v)
}

// viewsHold reports whether the texts of the session's temporary views, in which names stand for relations, are as
// new as the catalog that v was decided with. When they are not, they have to be asked for anew.
func (s *Session) viewsHold(v *Verdict) bool {
	if !s.masked || v == nil {
		return true
	}
	s.generation = v.Generation
	if s.tempGeneration == v.Generation || !s.temp.Views() || s.status == 'E' {
		return true
	}
	s.path.now = ""
	return false
}
