"""A whole course in twenty seconds: real pages, real mails in a sandbox, a simulated clock."""
