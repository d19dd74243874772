"""Processes for tests that start and die by the dozen: forked from a server that has all of the
program in it, each costs a moment instead of a second."""

import multiprocessing

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    [
        *("scheduler", "sendgrid", "psycopg", "course.rendering", "course.mailer"),
        *("celery.bin.worker", "celery.apps.worker", "celery.concurrency.prefork"),
        *("kombu.transport.redis", "tests.standin"),
    ]
)
