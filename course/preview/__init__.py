"""The author's own page: every mail of a course as it would be sent now, following the files."""
