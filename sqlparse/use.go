package sqlparse

// String names the use as explain and refusals show it.
func (u Use) String() string {
	switch u {
	case UseEquality:
		return "equality"
	case UseJoin:
		return "join"
	case UseRange:
		return "range"
	case UsePattern:
		return "pattern"
	case UseSort:
		return "sort"
	case UseGroup:
		return "group"
	case UseCondition:
		return "condition"
	case UseLimit:
		return "limit"
	case UseExpression:
		return "expression"
	case UseFault:
		return "fault"
	}
	return "unknown"
}

// String names the effect as explain shows it.
func (k EffectKind) String() string {
	switch k {
	case EffectWrite:
		return "write"
	case EffectDelete:
		return "delete"
	case EffectSink:
		return "sink"
	case EffectRunner:
		return "runs SQL"
	case EffectFunction:
		return "unknown function"
	case EffectLock:
		return "lock"
	case EffectSetting:
		return "setting"
	case EffectTemp, EffectTempChecked:
		return "temporary"
	case EffectSession:
		return "session"
	}
	return "unknown"
}
