package catalog

// index is the lookup side of a Snapshot, built by its loader.
type index struct{}
