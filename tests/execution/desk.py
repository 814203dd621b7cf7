"""A trader's desk against the practice exchange over HTTP: real broker, real ledger, simulated time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from tests.flows.stage import AAPL, ACCOUNT, CASH, DIP, DIP_BOT, ny, settings_for
from wsb_core.brokers import open_broker
from wsb_core.domain.contracts import OptionContract, Right
from wsb_core.domain.ids import Cash, ClientOrderId, Price, RunId
from wsb_core.domain.orders import ApprovedOrder, BrokerOrder, Effect, IntentKey, Order, Review, Ruling
from wsb_core.domain.structures import single
from wsb_core.exchange.client import PracticeClock, PracticeControl
from wsb_core.execution.submit import Sender, resolve
from wsb_core.ledger import Intent, Ledger
from wsb_core.reconcile.sync import Synced, sync

CALL = OptionContract("AAPL", date(2012, 6, 15), Right.CALL, Decimal(250), AAPL)
"""Quoted 3.70 to 3.90 at the start of every test."""
START = ny(DIP, "15:36")
MARKETABLE, RESTING = "-4.00", "-0.50"
POST = {"method": "POST", "path": "/v2/orders$"}
LOOK_UP = {"method": "GET", "path": "/v2/orders:by_client_order_id"}
HOLDER = "tests"


def approved(
    limit: str = MARKETABLE,
    *,
    effect: Effect = Effect.OPEN,
    quantity: int = 2,
    slot: str = "close-25m",
    may_cross: bool = False,
) -> ApprovedOrder:
    """One AAPL call, through a review that passed."""
    structure = single(CALL)
    action = "open" if effect is Effect.OPEN else f"close {structure.symbol}"
    key = IntentKey(ACCOUNT, DIP_BOT, DIP, slot, AAPL, action)
    order = Order(key, structure, effect, quantity, Price(Decimal(limit)), may_cross)
    loss = Cash(max(Decimal(0), -order.cash))
    return Review(order, START, (Ruling("size", True, str(quantity), "4"),), loss).approve("dip", {})


def seat(url: str, ledger: Ledger, run: str = "run-1", holder: str = HOLDER) -> Sender:
    """A started run with the account's lease, ready to send."""
    settings = settings_for(url, "sqlite:///not-read-here.db")
    settings = settings.model_copy(update={"deadline_seconds": 5.0})
    broker = open_broker(**settings.broker_access())
    clock = PracticeClock(PracticeControl(url, deadline_seconds=20))
    at, run_id = clock.now(), RunId(run)
    ledger.open_account(ACCOUNT, "practice", CASH, at)
    ledger.start_run(
        run_id,
        flow="test",
        strategy=DIP_BOT,
        session=DIP,
        slot="close-25m",
        account=ACCOUNT,
        config_hash="c",
        code_version="v",
        at=at,
    )
    lease = ledger.acquire_lease(ACCOUNT, holder, at, timedelta(hours=1))
    return Sender(run_id, broker, ledger, lease, clock)


@dataclass
class Desk:
    """Everything a test of sending touches."""

    url: str
    ledger: Ledger
    control: PracticeControl
    sender: Sender

    def another_run(self) -> Sender:
        return replace(seat(self.url, self.ledger, "run-2"), lease=self.sender.lease)

    def sync(self, since: datetime = START) -> Synced:
        """As the flows do: every order in doubt is looked up and nothing is sent."""
        return sync(
            self.sender.broker,
            self.ledger,
            account=ACCOUNT,
            since=since,
            at=self.control.now(),
            settle=lambda intent: resolve(intent, self.sender, resend=False),
        )

    def intent(self, order: ApprovedOrder) -> Intent:
        return self.ledger.intent(order.order.client_order_id)

    def sends(self, order: ApprovedOrder) -> int:
        """POSTs of this order that reached the exchange."""
        return int(self.control.state()["sends"].get(order.order.client_order_id, 0))

    def at_the_exchange(self) -> tuple[BrokerOrder, ...]:
        return self.sender.broker.orders_since(START - timedelta(days=1))

    def ids(self) -> list[ClientOrderId]:
        return [order.client_order_id for order in self.at_the_exchange()]
