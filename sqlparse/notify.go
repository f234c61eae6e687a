package sqlparse

// notify analyses LISTEN, UNLISTEN and NOTIFY. The grammar takes constants only, so nothing of
// the database flows into them; what a masking role hears is a session's matter, which
// passes the names of channels and no payload on.
func (a *analysis) notify() {
	a.plan.Kind = KindNotify
	a.effect(Effect{Kind: EffectSession, Target: -1, Name: a.plan.Tag}, -1)
}
