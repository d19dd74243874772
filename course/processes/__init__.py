"""One machine: ports, servers, children that end with their parent, an orderly stop."""

FOR_MACHINES = "for machines"  # the name of the log's handler in one whose stderr is JSON
