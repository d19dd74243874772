"""The public web: a course's page and its form, the links of the mails, the provider's webhook."""
