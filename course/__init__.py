"""minicourse: e-mail mini-courses, every lesson on time, never twice, easy to leave."""
