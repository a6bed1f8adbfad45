"""ipvsadm's language, both ways: command lines and rule lines to values, tables to text."""
