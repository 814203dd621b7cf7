"""Check the whole ledger against itself: the chain, every row, the orders, the fills and the cash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wsb_core.domain.ids import AccountId, Cash
from wsb_core.domain.positions import Holding, Position

from .books import orders_of, rebuilt
from .chain import AuditEntry, chain_problems
from .positions import Derived
from .records import Verification
from .rows import KIND, row_problems, stored_digests
from .store import Store
from .tables import AccountRow, AuditHeadRow, AuditRow, BlobRow, CashEntryRow


def audit_entries(session: Session) -> Iterator[AuditEntry]:
    """The log, oldest first."""
    rows = session.scalars(select(AuditRow).order_by(AuditRow.seq).execution_options(yield_per=1000))
    for row in rows:
        yield AuditEntry(row.seq, row.at, row.kind, row.payload, row.prev_hash, row.hash)


def adopt_rows(store: Store) -> None:
    """Take the rows of a ledger that was written before rows were in the chain into it, once, as they are."""
    with store.read() as session:
        last = session.scalar(select(AuditRow.at).order_by(AuditRow.seq.desc()).limit(1))
        known = session.scalar(select(AuditRow.seq).where(AuditRow.kind == KIND).limit(1))
        rows: dict[str, dict[str, str]] = {}
        if last is not None and known is None:
            for table, key, value in stored_digests(session):
                rows.setdefault(table, {})[key] = value
    if last is not None and rows:
        with store.write(last) as tx:
            tx.audit(KIND, rows)


def verify(session: Session) -> Verification:
    head = session.scalar(select(AuditHeadRow))
    head_seq, head_hash = (0, "") if head is None else (head.seq, head.hash)
    problems = list(chain_problems(audit_entries(session), head_seq, head_hash))
    problems.extend(row_problems(session, audit_entries(session)))
    problems.extend(_blob_problems(session))
    rows = session.scalar(select(func.count()).select_from(AuditRow)) or 0
    positions: list[Position] = []
    holdings: list[Holding] = []
    cash: dict[AccountId, Cash] = {}
    for name in session.scalars(select(AccountRow.account).order_by(AccountRow.account)):
        account = AccountId(name)
        book = rebuilt(session, account)
        problems.extend(f"account {account}: {problem}" for problem in book.problems)
        problems.extend(_order_problems(session, account, book))
        problems.extend(_cash_problems(session, account, book))
        positions.extend(book.positions)
        holdings.extend(book.holdings)
        cash[account] = book.cash
    return Verification(
        ok=not problems,
        problems=tuple(problems),
        rows_checked=rows,
        positions=tuple(positions),
        holdings=tuple(holdings),
        cash=cash,
        head_seq=head_seq,
        head_hash=head_hash,
    )


def _blob_problems(session: Session) -> Iterator[str]:
    for blob in session.scalars(select(BlobRow).execution_options(yield_per=100)):
        if hashlib.sha256(blob.data).hexdigest() != blob.digest:
            yield f"blobs {blob.digest}: its bytes were changed"


def _order_problems(session: Session, account: AccountId, book: Derived) -> Iterator[str]:
    for order in orders_of(session, account):
        if order.structure is None or order.strategy is None:
            continue
        units = book.units.get(order.client_order_id, 0)
        if units != order.filled:
            yield (
                f"account {account}: order {order.client_order_id} is {order.state} with {order.filled} "
                f"units filled, its fills make {units}"
            )


def _cash_problems(session: Session, account: AccountId, book: Derived) -> Iterator[str]:
    posted = sum(
        session.scalars(select(CashEntryRow.amount).where(CashEntryRow.account == account)), Decimal(0)
    )
    if posted != book.cash:
        yield f"account {account}: cash entries add up to {posted}, fills and activities to {book.cash}"
