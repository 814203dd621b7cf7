"""The prices an exchange takes: multiples of a tick that depends on class, price and number of legs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from wsb_core.domain.contracts import OptionContract
from wsb_core.domain.ids import CENT, Price
from wsb_core.domain.structures import Structure

NICKEL, DIME = Decimal("0.05"), Decimal("0.10")
SUB_DOLLAR = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Grid:
    """Ticks of one class: ``low`` below ``bound`` dollars, ``high`` from there on.

    ``bound`` is itself a multiple of both, so a rounded price is on the grid on either side of it.
    """

    low: Decimal
    high: Decimal
    bound: Decimal = Decimal(3)

    def tick(self, price: Decimal) -> Decimal:
        """The tick at ``price``, whatever its sign."""
        return self.low if abs(price) < self.bound else self.high

    def round(self, limit: Decimal, *, favour: bool) -> Price:
        """A signed limit on the grid: up, which is better for us, when ``favour``; else down."""
        tick = self.tick(limit)
        steps = (limit / tick).to_integral_value(ROUND_CEILING if favour else ROUND_FLOOR)
        return Price(steps * tick)

    def holds(self, price: Decimal) -> bool:
        """Whether ``price`` is one the exchange takes."""
        return price % self.tick(price) == 0


CENTS = Grid(CENT, CENT)
PENNY = Grid(CENT, NICKEL)
"""Classes of the penny interval program."""
STANDARD = Grid(NICKEL, DIME)
"""Every other class, SPX and the other index classes among them."""
SHARES = Grid(SUB_DOLLAR, CENT, Decimal(1))
"""Shares: a cent, and a hundredth of one below a dollar (SEC rule 612)."""
INDEX_PACKAGE = Grid(NICKEL, NICKEL)
"""Packages of SPX and SPXW, which have no penny increments."""

CENT_CLASSES = frozenset({"SPY", "QQQ", "IWM"})
"""Cents at every price."""
INDEX_PACKAGE_ROOTS = frozenset({"SPX", "SPXW"})
_PENNY_ROOTS = """
AA AAL AAPL ABBV ABNB ABT ACN ADBE ADM AEO AFRM AIG AMAT AMC AMD AMGN AMZN APA APO ARKK ARM ASHR ASML ATVI
AVGO AXP AZN BA BABA BAC BBY BIDU BIIB BK BKNG BMY BP BRKB BSX BX C CAH CAT CCL CF CHWY CL CLF CMCSA CMG
CNC COF COIN COP COST CRM CRWD CSCO CSX CVNA CVS CVX DAL DASH DD DE DELL DHI DIA DIS DKNG DOCU DOW DVN EA
EBAY EEM EFA EMR ENPH EOG EQT ETSY EWJ EWW EWY EWZ F FAS FAZ FCX FDX FEZ FSLR FXE FXI GDX GDXJ GE GILD GIS
GLD GM GME GOOG GOOGL GPS GS HAL HBAN HD HON HOOD HPQ HYG IBM INTC IYR JETS JNJ JPM KEY KHC KMI KO KR KRE
LEN LLY LMT LOW LQD LRCX LULU LUV LVS LYFT M MA MARA MCD MDLZ MDT MET META MGM MMM MO MOS MRK MRNA MRVL MS
MSFT MSTR MU NCLH NEE NEM NET NFLX NIO NKE NOW NUE NVDA OIH OKTA ON ORCL OXY PANW PARA PBR PEP PFE PG PINS
PLTR PLUG PM PYPL QCOM QID RBLX RCL RF RIG RIOT RIVN ROKU RTX SBUX SCHW SDS SHOP SIRI SLB SLV SMCI SMH
SNAP SNOW SO SOFI SOXL SOXS SPXL SPXS SQ SQQQ SSO SWN T TEVA TFC TGT TLT TMO TMUS TNA TQQQ TSLA TSM TWLO
TXN TZA U UAL UBER UNG UNH UNP UPS UPST USB USO UVXY V VALE VLO VXX VZ WBA WDC WFC WMT WYNN X XBI XHB XLB
XLE XLF XLI XLK XLP XLU XLV XLY XOM XOP XRT YUM Z ZM
"""
PENNY_CLASSES = frozenset(_PENNY_ROOTS.split())
"""Roots of the most traded classes of the program; it is reviewed every January.

A class that is not here gets the coarser ticks, and every price on those is on the finer ones as well.
Source: the exchanges' penny interval program (SEC release 34-88532, 2020).
"""


def grid_of(structure: Structure) -> Grid:
    """Where the net limit of ``structure`` may rest. Packages are quoted in cents, except on SPX."""
    contracts = structure.contracts
    if not contracts:
        return SHARES
    if len(structure.legs) > 1:
        return INDEX_PACKAGE if contracts[0].root in INDEX_PACKAGE_ROOTS else CENTS
    return _class_grid(contracts[0])


def _class_grid(contract: OptionContract) -> Grid:
    if contract.root in CENT_CLASSES:
        return CENTS
    return PENNY if contract.root in PENNY_CLASSES else STANDARD
