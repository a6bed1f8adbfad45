"""The command line: grammar, listings, commands, with ipvsadm's arguments, output, messages and exit statuses."""
