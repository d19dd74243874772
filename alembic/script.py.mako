"""${message}

House rules: additive first (the code before this migration must run on the schema after it);
name every constraint by the convention; write the way down too.

Revision: ${up_revision}
Follows: ${down_revision or "nothing" | comma,n}
"""

import sqlalchemy as sa

import course.db
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
