package proxy

// reported are the settings that the server reports by itself (PostgreSQL
// docs, section 55.2.7). Anything else that an extension or a login trigger might
// report is not for a masked role.
func reported(name string) bool { return reportedSettings[name] }

var reportedSettings = map[string]bool{
	"application_name": true, "client_encoding": true, "DateStyle": true, "default_transaction_read_only": true,
	"in_hot_standby": true, "integer_datetimes": true, "IntervalStyle": true, "is_superuser": true,
	"scram_iterations": true, "search_path": true, "server_encoding": true, "server_version": true,
	"session_authorization": true, "standard_conforming_strings": true, "TimeZone": true,
}
