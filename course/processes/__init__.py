"""One machine: ports, servers, children that end with their parent, an orderly stop."""
