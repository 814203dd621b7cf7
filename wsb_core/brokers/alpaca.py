"""``Broker`` over Alpaca's trading API. The vendor's spelling of anything stops in this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wsb_core.domain.activities import Activity
from wsb_core.domain.calendar import NEW_YORK, Session
from wsb_core.domain.errors import BadResponse, NotArmed, OutcomeUnknown
from wsb_core.domain.ids import AccountId, BrokerOrderId, Cash, ClientOrderId
from wsb_core.domain.orders import BrokerOrder, Fill, Order
from wsb_core.domain.ports import BrokerClock
from wsb_core.domain.positions import AccountState, Holding
from wsb_core.vendors.alpaca_http import ORDER_NOT_FOUND, AlpacaHttp
from wsb_core.vendors.alpaca_rows import Row, row_of, rows_of, utc_text
from wsb_core.vendors.hosts import is_loopback

from .alpaca_activities import parse_activity, parse_fill
from .alpaca_orders import order_ids, order_request, parse_order

if TYPE_CHECKING:
    from .alpaca_stream import TradeUpdate, TradeUpdates

HOSTS = {"paper": "paper-api.alpaca.markets", "live": "api.alpaca.markets"}
KEY_PREFIXES = {"paper": "PK", "live": "AK"}
_ORDER_PAGE = 500
_ACTIVITY_PAGE = 100
_TICK = timedelta(microseconds=1)
_LONGEST_DAY_ORDER = timedelta(days=7)
"""A DAY order sent at the start of a long weekend works until the end of the next session."""


def check_mode(mode: str, base_url: str, key: str) -> None:
    """Nothing when mode, host and key belong together.

    Raises: NotArmed naming what disagrees: practice needs a loopback host, paper and live their own
    host over https and a key with their prefix.
    """
    host = urlsplit(base_url).hostname or ""
    if mode == "practice":
        if not is_loopback(base_url):
            raise NotArmed(
                f"mode practice needs an exchange on this machine, not {host!r}; set WSB_PRACTICE_URL"
            )
        return
    if mode not in HOSTS:
        raise NotArmed(f"mode must be practice, paper or live, not {mode!r}")
    if base_url.rstrip("/") != f"https://{HOSTS[mode]}":
        raise NotArmed(f"mode {mode} needs https://{HOSTS[mode]}, not {host!r}")
    if not key.startswith(KEY_PREFIXES[mode]):
        raise NotArmed(
            f"mode {mode} needs a key that starts with {KEY_PREFIXES[mode]}; this one does not: "
            "take the key of that account"
        )


def check_account(mode: str, configured: AccountId, reported: str) -> None:
    """Nothing when the broker speaks of the configured account, otherwise NotArmed."""
    if configured != reported:
        raise NotArmed(
            f"mode {mode}: the keys open account {reported!r} and the settings name {configured!r}; "
            "set the account, or take its keys"
        )


class AlpacaBroker:
    """One Alpaca account.

    Every call has a deadline and is sent once: alpaca-py's own re-sends are off. Reads raise
    ProviderUnavailable, BadResponse or ProviderRefused and never answer a failure with "empty".
    """

    def __init__(
        self,
        account_id: AccountId,
        mode: str,
        base_url: str,
        key: str,
        secret: str,
        *,
        deadline_seconds: float = 10.0,
        tap: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        """``tap`` is told of every request and answer. Sends nothing.

        Raises: NotArmed when mode, host and key do not belong together.
        """
        from alpaca.trading.client import TradingClient

        check_mode(mode, base_url, key)
        self._account_id = account_id
        self._mode = str(mode)
        self._base_url = base_url.rstrip("/")
        self._key, self._secret = key, secret
        client = TradingClient(key, secret, raw_data=True, url_override=self._base_url)
        self._http = AlpacaHttp(client, secrets=(secret, key), deadline_seconds=deadline_seconds, tap=tap)
        self._account_seen = False

    def __repr__(self) -> str:
        host = urlsplit(self._base_url).netloc
        return f"AlpacaBroker(account={self._account_id!r}, mode={self._mode!r}, host={host!r})"

    @property
    def account_id(self) -> AccountId:
        return self._account_id

    @property
    def mode(self) -> str:
        """``practice``, ``paper`` or ``live``."""
        return self._mode

    def clock(self) -> BrokerClock:
        row = row_of("clock", self._http.get("/clock"))
        return BrokerClock(
            now=row.instant("timestamp"),
            is_open=row.flag("is_open"),
            next_open=row.instant("next_open"),
            next_close=row.instant("next_close"),
        )

    def session(self, day: date) -> Session | None:
        """The broker's calendar for one day, New York time; None when it does not trade."""
        wanted = day.isoformat()
        answer = self._http.get("/calendar", {"start": wanted, "end": wanted})
        for row in rows_of("calendar", answer):
            if row.text("date") == wanted:
                return Session(day, _at(row, day, "open"), _at(row, day, "close"))
        return None

    def account(self) -> AccountState:
        """The broker's figures at the broker's time.

        Raises: as every read, and NotArmed when the keys open another account than the configured one.
        """
        row = self._account_row()
        level = row.optional_number("options_trading_level")
        obp = row.optional_number("options_buying_power")
        return AccountState(
            account=self._account_id,
            equity=Cash(row.number("equity")),
            cash=Cash(row.number("cash")),
            buying_power=Cash(row.number("buying_power")),
            options_buying_power=None if obp is None else Cash(obp),
            options_level=None if level is None else int(level),
            blocked=_blocked(row),
            as_of=self.clock().now,
            pending_fees=_pending_fees(row),
        )

    def holdings(self) -> tuple[Holding, ...]:
        """Every position, as signed exact quantities."""
        rows = rows_of("position", self._http.get("/positions"), "symbol")
        return tuple(Holding(row.instrument(), _held(row)) for row in rows)

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        """Orders that are not done, oldest first."""
        return tuple(parse_order(row) for row in self._orders("open", None))

    def orders_since(self, since: datetime) -> tuple[BrokerOrder, ...]:
        """Every order submitted at or after ``since``, open or not, oldest first."""
        return tuple(parse_order(row) for row in self._orders("all", since))

    def order_by_client_id(self, client_order_id: ClientOrderId) -> BrokerOrder | None:
        """The order with this id; None only when the broker says, in its own words, that it has none."""
        params = {"client_order_id": client_order_id, "nested": "true"}
        answer = self._http.get("/orders:by_client_order_id", params, absent_code=ORDER_NOT_FOUND)
        if answer is None:
            return None
        if isinstance(answer, dict) and answer.get("order_class") == "mleg" and not answer.get("legs"):
            # Only the look-up by the broker's own id is documented to nest the legs.
            answer = self._http.get(f"/orders/{answer.get('id')}", {"nested": "true"})
        order = parse_order(answer)
        if order.client_order_id != client_order_id:
            raise BadResponse(f"asked for order {client_order_id}, told of {order.client_order_id}")
        return order

    def submit(self, order: Order) -> BrokerOrder:
        """Send one order, once. The order told may already be filled, or ``REJECTED``.

        Raises: OrderRejected when the broker, or the order's own shape, says no; OutcomeUnknown when it
        cannot be told: look it up. Before anything is sent: NotArmed, or a read error when the account
        could not be verified.
        """
        check_mode(self._mode, self._base_url, self._key)
        if not self._account_seen:
            self._account_row()
        name = order.client_order_id
        answer = self._http.post_order(name, order_request(order))
        try:
            told = parse_order(answer)
        except BadResponse as error:
            raise OutcomeUnknown(
                f"{name}: taken, and the answer is unreadable: {error}; look it up"
            ) from None
        if told.client_order_id != name:
            raise OutcomeUnknown(f"{name}: the broker answered for {told.client_order_id}; look it up")
        return told

    def cancel(self, broker_order_id: BrokerOrderId) -> None:
        """Ask for a cancel; only a look-up tells whether it, or a fill, won. Repeating it is safe."""
        self._http.delete_order(broker_order_id)

    def fills(self, since: datetime) -> tuple[Fill, ...]:
        """Executions at or after ``since``, oldest first, joined to the orders they belong to.

        ``client_order_id`` is the whole order's, also for a leg; None for an execution of an order that is
        not among the account's orders of the week before (such as a liquidation by the broker).
        """
        booked = self._activities("/account/activities/FILL", since)
        if not booked:
            return ()
        owners: dict[str, ClientOrderId] = {}
        for order in self._orders("all", since - _LONGEST_DAY_ORDER):
            name = ClientOrderId(row_of("order", order, "id").text("client_order_id"))
            owners.update(dict.fromkeys(order_ids(order), name))
        fills = [parse_fill(row, owners) for row in booked]
        wanted = (fill for fill in fills if fill.at >= since)
        # Executions of one instant stay in the order in which the broker booked them.
        return tuple(sorted(wanted, key=lambda fill: fill.at))

    def activities(self, since: date) -> tuple[Activity, ...]:
        """Every booked row with a date on or after ``since``, fills included, oldest first."""
        start = datetime(since.year, since.month, since.day, tzinfo=NEW_YORK)
        found = [parse_activity(row) for row in self._activities("/account/activities", start)]
        wanted = (row for row in found if row.booked_on >= since)
        return tuple(sorted(wanted, key=lambda row: (row.booked_on, row.at)))

    def stream_trade_updates(
        self, on_update: Callable[[TradeUpdate], None], on_gap: Callable[[str], None]
    ) -> TradeUpdates:
        """Order events as they happen, from a thread of their own, until ``stop()``; see ``TradeUpdates``."""
        from .alpaca_stream import TradeUpdates

        return TradeUpdates(self._base_url, self._key, self._secret, on_update, on_gap)

    def _account_row(self) -> Row:
        row = row_of("account", self._http.get("/account"))
        check_account(self._mode, self._account_id, row.text("account_number"))
        self._account_seen = True
        return row

    def _orders(self, status: str, since: datetime | None) -> tuple[Any, ...]:
        """Raw orders, oldest first. The vendor pages by time alone, so each page starts a microsecond early
        and the walk ends when a page brings nothing new: ties are never lost, nor is a short page the end.
        """
        found: dict[str, tuple[datetime, Any]] = {}
        after = since
        while True:
            params = {"status": status, "limit": _ORDER_PAGE, "nested": "true", "direction": "asc"}
            if after is not None:
                params["after"] = utc_text(after - _TICK)
            answer = self._http.get("/orders", params)
            rows = rows_of("order", answer, "id")
            stamped = {row.text("id"): (_submitted(row), row.fields) for row in rows}
            if stamped.keys() <= found.keys():
                if len(rows) >= _ORDER_PAGE:
                    raise BadResponse(f"orders: {len(rows)} share one instant and cannot be paged; unknown")
                return tuple(fields for _, fields in sorted(found.values(), key=lambda pair: pair[0]))
            found.update(stamped)
            after = max(at for at, _ in stamped.values())

    def _activities(self, path: str, since: datetime) -> tuple[Any, ...]:
        """Raw rows from a day before ``since``: the vendor filters by when a row was made, to the second."""
        params: dict[str, Any] = {
            "direction": "asc",
            "page_size": _ACTIVITY_PAGE,
            "after": utc_text((since - timedelta(days=1)).replace(microsecond=0)),
        }
        found: dict[str, Any] = {}
        while True:
            rows = rows_of("activity", self._http.get(path, params), "id")
            if not rows:
                return tuple(found.values())
            page = {row.text("id"): row.fields for row in rows}
            if page.keys() <= found.keys():
                raise BadResponse(f"GET {path}: a page came twice, the pages never end")
            found.update(page)
            params["page_token"] = rows[-1].text("id")


def _at(row: Row, day: date, name: str) -> datetime:
    try:
        return datetime.strptime(f"{day} {row.text(name)}", "%Y-%m-%d %H:%M").replace(tzinfo=NEW_YORK)
    except ValueError:
        raise row.bad(name, "a time like 09:30") from None


def _submitted(row: Row) -> datetime:
    return row.optional_instant("submitted_at") or row.instant("created_at")


def _pending_fees(row: Row) -> Cash | None:
    told = [row.optional_number(name) for name in ("accrued_fees", "pending_reg_taf_fees")]
    known = [abs(amount) for amount in told if amount is not None]
    return Cash(sum(known, Decimal(0))) if known else None


def _blocked(row: Row) -> bool:
    flags = [row.flag("account_blocked"), row.flag("trading_blocked")]
    by_user = row.fields.get("trade_suspended_by_user") is True
    return any(flags) or by_user or row.text("status") != "ACTIVE"


def _held(row: Row) -> Decimal:
    """Signed quantity; the vendor's short rows are seen both as -5 and as 5 with side short."""
    quantity, side = row.number("qty"), row.text("side")
    if side not in ("long", "short") or (side == "long" and quantity < 0):
        raise row.bad("side", f"long or short that agrees with qty {quantity}")
    return -abs(quantity) if side == "short" else quantity
