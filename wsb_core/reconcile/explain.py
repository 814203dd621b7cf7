"""What the calendar and the broker's other words say of a difference, before its bookings are here.

Every explanation is arithmetic that fits to the contract, the share and the cent: an expiry, an
exercise or an assignment moves a known number of shares for a known amount; a split multiplies; a new
ticker renames; a dividend pays so much a share; an order told filled moves its legs at its average. A
difference that no such sum reaches is left without one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import product

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import ExerciseStyle, Instrument, OptionContract, Right, Settlement, Share
from wsb_core.domain.events import CashDividend, CorporateAction, Renamed, Split, effective
from wsb_core.domain.ids import CENT, Underlying
from wsb_core.domain.orders import Fill

_ZERO = Decimal(0)
_MOST = 20_000
"""Ways in which the contracts of one underlying may have ended that are tried before giving up."""


@dataclass(frozen=True, slots=True)
class Told:
    """A fill that an order's state told and whose executions are not here: what it moved."""

    order: str
    moves: Mapping[Instrument, Decimal]
    cash: Decimal


@dataclass(frozen=True, slots=True)
class Explained:
    """For each instrument that differs, and for cash, what accounts for it; absent when nothing does."""

    positions: Mapping[Instrument, str]
    cash: str | None
    looked_at: str


@dataclass(frozen=True, slots=True)
class _Way:
    """One way in which things may have gone: the cash it moved (None: any), and how to say it."""

    cash: Decimal | None
    texts: Mapping[Instrument, str] = field(default_factory=dict)
    note: str = ""


def explain(
    here: Mapping[Instrument, Decimal],
    there: Mapping[Instrument, Decimal],
    differing: Mapping[Instrument, Decimal],
    cash: Decimal,
    *,
    pending: Decimal,
    today: date,
    after_close: bool,
    actions: Collection[CorporateAction],
    unbooked: Collection[Told],
    traded: Collection[Fill] = (),
) -> Explained:
    """``differing`` and ``cash`` are theirs less ours; what of them is accounted for, and by what.

    ``traded`` are our fills: only what was held before the day of an action is changed by it.
    """
    if not differing and not cash:
        return Explained({}, None, "")
    looked_at = _looked_at(today, after_close, pending, actions, unbooked)
    left = dict(differing)
    texts: dict[Instrument, str] = {}
    filled: dict[Instrument, str] = {}
    fixed, said = _ZERO, []
    for told in unbooked:
        if told.moves and all(_covers(left.get(i, _ZERO), by) for i, by in told.moves.items()):
            for instrument, by in told.moves.items():
                left[instrument] -= by
                if not left[instrument]:
                    filled[instrument] = f"order {told.order} was told filled; its executions come later"
            fixed += told.cash
            said.append(f"fill of order {told.order}, not booked yet")
    for action in sorted(actions, key=effective):
        if effective(action) <= today:
            texts |= _reshaped(action, _held_before(effective(action), here, traded), left)
    left = {instrument: by for instrument, by in left.items() if by}
    groups: list[list[_Way]] = []
    for name in sorted({i.underlying for i in left if isinstance(i, OptionContract)}):
        ways = list(_endings(name, here, there, left, today, after_close))
        if ways:
            groups.append(ways)
    optional = [
        *_dividends(here, traded, actions, today),
        *([_Way(-pending, note=f"fees of {pending} charged and not yet booked")] if pending else []),
    ]
    found = _reach(cash - fixed, groups, optional)
    if found is not None or cash:
        # Cash that fits no way is a difference of its own; cash that should have moved and did not is none.
        texts |= filled
        for way in found if found is not None else [ways[0] for ways in groups]:
            texts |= way.texts
    positions = {i: texts[i] for i in differing if i in texts}
    if found is None or not cash:
        return Explained(positions, None, looked_at)
    for way in found:
        said += [text for text in (*way.texts.values(), way.note) if text and text not in said]
    return Explained(positions, "; ".join(said), looked_at)


def _covers(left: Decimal, by: Decimal) -> bool:
    return left * by > 0 and abs(left) >= abs(by)


def _held_before(
    day: date, here: Mapping[Instrument, Decimal], traded: Iterable[Fill]
) -> Mapping[Instrument, Decimal]:
    """Our holdings without what was traded from ``day`` on."""
    held = dict(here)
    for fill in traded:
        if fill.at.astimezone(NEW_YORK).date() >= day:
            held[fill.instrument] = held.get(fill.instrument, _ZERO) - fill.quantity
    return held


# --- splits and new tickers ---


def _reshaped(
    action: CorporateAction, here: Mapping[Instrument, Decimal], left: dict[Instrument, Decimal]
) -> dict[Instrument, str]:
    """What ``action`` makes of our holdings, taken off ``left`` where all of it fits."""
    moves: dict[Instrument, Decimal] = {}
    if isinstance(action, Split):
        name, text = (
            action.underlying,
            f"split {action.ratio} for 1 of {action.underlying} on {action.ex_date}",
        )
    elif isinstance(action, Renamed):
        name, text = action.old, f"{action.old} is {action.new} since {action.day}"
    else:
        return {}
    for instrument, quantity in here.items():
        if instrument.underlying != name:
            continue
        became, factor = _became(instrument, action)
        moves[instrument] = moves.get(instrument, _ZERO) - quantity
        moves[became] = moves.get(became, _ZERO) + quantity * factor
    moves = {instrument: by for instrument, by in moves.items() if by}
    if not moves or any(left.get(_named(i, left), _ZERO) != by for i, by in moves.items()):
        return {}
    told = {}
    for instrument in moves:
        named = _named(instrument, left)
        left[named] = _ZERO
        told[named] = text
    return told


def _named(instrument: Instrument, left: Mapping[Instrument, Decimal]) -> Instrument:
    """The one in ``left`` with its symbol: what a contract delivers after a split is the broker's to say."""
    if instrument in left:
        return instrument
    return next((other for other in left if other.symbol == instrument.symbol), instrument)


def _became(instrument: Instrument, action: Split | Renamed) -> tuple[Instrument, Decimal]:
    """What one of ``instrument`` is afterwards, and how many.

    Source: OCC's rules of adjustment: a whole ratio divides the strike and multiplies the contracts; any
    other keeps their number, and what they deliver changes under a root that ends in a digit.
    """
    if isinstance(action, Renamed):
        if isinstance(instrument, Share):
            return Share(action.new), Decimal(1)
        root = action.new.replace(".", "") if instrument.standard else instrument.root
        return replace(instrument, root=root, underlying=action.new), Decimal(1)
    if isinstance(instrument, Share):
        return instrument, action.ratio
    strike = (instrument.strike / action.ratio).quantize(CENT, ROUND_HALF_EVEN)
    if action.ratio == action.ratio.to_integral_value():
        return replace(instrument, strike=strike), action.ratio
    size = max(1, int(instrument.multiplier * action.ratio))
    root = f"{instrument.root[:5]}1"
    return replace(instrument, root=root, strike=strike, multiplier=size, standard=False), Decimal(1)


# --- expiry, exercise, assignment ---


def _endings(
    name: Underlying,
    here: Mapping[Instrument, Decimal],
    there: Mapping[Instrument, Decimal],
    left: Mapping[Instrument, Decimal],
    today: date,
    after_close: bool,
) -> Iterator[_Way]:
    """Every way in which the contracts of ``name`` that are gone can have brought its shares.

    A short contract may be assigned any night, in part as well; a long one is exercised at its expiry,
    and what is not exercised or assigned by then has expired.
    """
    gone = {i: -by for i, by in left.items() if isinstance(i, OptionContract) and i.underlying == name}
    contracts = [c for c, by in gone.items() if _ends(c, by, here, there, today, after_close)]
    if not contracts:
        return
    share = Share(name)
    wanted = left.get(share, _ZERO)
    choices = [_counts(c, gone[c], today, after_close) for c in contracts]
    size = 1
    for counts in choices:
        size *= len(counts)
    if size > _MOST:
        choices = [tuple(dict.fromkeys((counts[0], counts[-1]))) for counts in choices]
    settled = any(c.style is ExerciseStyle.EUROPEAN for c in contracts)
    for counts in product(*choices):
        shares = sum((_shares(c, gone[c], n) for c, n in zip(contracts, counts, strict=True)), _ZERO)
        if shares != wanted:
            continue
        cash = sum(
            (-_shares(c, gone[c], n) * c.strike for c, n in zip(contracts, counts, strict=True)), _ZERO
        )
        texts: dict[Instrument, str] = {
            c: _in_words(c, gone[c], n) for c, n in zip(contracts, counts, strict=True)
        }
        if wanted:
            texts[share] = f"delivery of {shares.normalize():f} {name} for options; booked the next morning"
        yield _Way(None if settled else cash, texts)


def _ends(
    contract: OptionContract,
    gone: Decimal,
    here: Mapping[Instrument, Decimal],
    there: Mapping[Instrument, Decimal],
    today: date,
    after_close: bool,
) -> bool:
    """Whether all or a part of what we hold is gone in a way that needs no order."""
    ours, theirs = here.get(contract, _ZERO), there.get(contract, _ZERO)
    toward_zero = ours * gone > 0 and abs(theirs) < abs(ours) and ours * theirs >= 0
    if not toward_zero:
        return False
    if _over(contract, today, after_close):
        return theirs == 0
    return ours < 0 and contract.style is ExerciseStyle.AMERICAN


def _over(contract: OptionContract, today: date, after_close: bool) -> bool:
    morning = contract.settlement is Settlement.AM
    return contract.expiry < today or (contract.expiry == today and (after_close or morning))


def _counts(contract: OptionContract, gone: Decimal, today: date, after_close: bool) -> tuple[Decimal, ...]:
    """How many of those gone may have been exercised or assigned, none first."""
    if contract.style is ExerciseStyle.EUROPEAN:
        return (_ZERO,)
    whole = abs(gone)
    if not _over(contract, today, after_close):
        return (whole,)
    return tuple(Decimal(n) for n in range(int(whole) + 1))


def _shares(contract: OptionContract, gone: Decimal, count: Decimal) -> Decimal:
    """Shares that ``count`` exercised (gone long) or assigned (gone short) contracts bring in."""
    long, call = gone > 0, contract.right is Right.CALL
    return count * contract.multiplier * (1 if long is call else -1)


def _in_words(contract: OptionContract, gone: Decimal, count: Decimal) -> str:
    name, rest = contract.symbol.strip(), abs(gone) - count
    if contract.style is ExerciseStyle.EUROPEAN:
        return f"expired; the broker books the settlement of {name} the next morning"
    done = "exercised" if gone > 0 else "assigned"
    parts = [f"{count:f} {done}"] if count else []
    parts += [f"{rest:f} expired"] if rest else []
    return f"{' and '.join(parts)}; the broker books {name} the next morning"


# --- cash ---


def _dividends(
    here: Mapping[Instrument, Decimal],
    traded: Collection[Fill],
    actions: Iterable[CorporateAction],
    today: date,
) -> Iterator[_Way]:
    """A long holding is paid, a short one owes; on the ex-date or on the day of payment."""
    for action in actions:
        if not isinstance(action, CashDividend) or action.ex_date > today:
            continue
        share = Share(action.underlying)
        held = _held_before(action.ex_date, here, traded).get(share, _ZERO)
        if held:
            cash = (held * action.amount).quantize(CENT, ROUND_HALF_EVEN)
            text = f"dividend of {action.amount} a share on {held.normalize():f} {action.underlying}"
            yield _Way(cash, note=f"{text}, not booked yet")


def _reach(cash: Decimal, groups: list[list[_Way]], optional: list[_Way]) -> list[_Way] | None:
    """One way of each group, and any of the optional ones, that together move ``cash``; None if none do."""
    sums: dict[Decimal, list[_Way]] = {_ZERO: []}
    free = False
    for ways in groups:
        grown: dict[Decimal, list[_Way]] = {}
        for total, chosen in sums.items():
            for way in ways:
                free = free or way.cash is None
                grown.setdefault(total + (way.cash or _ZERO), [*chosen, way])
        sums = dict(list(grown.items())[:_MOST])
    for way in optional:
        sums = {t + (way.cash or _ZERO): [*c, way] for t, c in list(sums.items())[:_MOST]} | sums
    exact = next((chosen for total, chosen in sums.items() if abs(total - cash) <= CENT), None)
    if exact is not None:
        return exact
    # What a cash-settled contract was worth at its end only the broker's row can say.
    return next(iter(sums.values())) if free else None


def _looked_at(
    today: date,
    after_close: bool,
    pending: Decimal,
    actions: Collection[CorporateAction],
    unbooked: Collection[Told],
) -> str:
    return (
        f"expiries to {today}{' after the close' if after_close else ''}, assignments, "
        f"{len(actions)} corporate actions, {len(unbooked)} fills told and not booked, pending fees {pending}"
    )
