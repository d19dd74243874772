"""SendGrid's own lists, for the commands that ask it; and what to do where it did not answer."""

from course.account import AccountError
from course.commands.context import Context
from course.provider_lists import ProviderLists


def provider(context: Context) -> ProviderLists:
    """SendGrid's lists, or the stand-in's, with the key of the settings."""
    return ProviderLists(context.settings.mail_key, context.settings.mail_host)


def explained(error: AccountError, right: str, then: str) -> AccountError:
    """What to do about a call that failed; repeated, each of them does no harm."""
    if error.is_refused:
        step = f"Give the key of SENDGRID_API_KEY the right {right} in your SendGrid account"
    else:
        step = "Nothing is lost: wait a moment"
    return AccountError(f"{error}. {step}, then run again: {then}", error.status)
