"""The state of one network namespace: services and servers, trash, sysctls, daemons, statistics."""
