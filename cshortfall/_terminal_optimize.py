"""An optimised portfolio as tables for a terminal: weights and what they contribute, certificate, duals, frontier."""

from rich.console import Console
from rich.text import Text

from cshortfall._portfolio_report import PortfolioReport, held_assets, sorted_duals
from cshortfall._terminal import Page, bar, number_format, percent

__all__ = ["print_portfolio"]

SHOWN_DUALS = 10


def print_portfolio(report: PortfolioReport, console: Console) -> None:
    """Print the tables."""
    page = _PortfolioPage(report, console)
    page.heading()
    page.figures()
    if report.holdings:
        page.holdings()
    page.duals()
    if report.worst:
        page.worst()
    page.frontier()
    page.say("ES and VaR are losses: positive when money is lost. All weights and digits: --json.", style="dim")


class _PortfolioPage(Page):
    """The tables of one portfolio on one console."""

    def __init__(self, report: PortfolioReport, console: Console) -> None:
        super().__init__(console)
        self.report = report
        risks = [report.es, *(point.es for point in report.frontier)]
        self.number = number_format(risks, report.percent, self.symbols.infinity)
        self.unit = ", in %" if report.percent else ""

    def heading(self) -> None:
        """Print what was optimised over which data, and the one sentence to take away."""
        report = self.report
        rows = f"{report.n_rows:,} {report.row}s"
        text = f"{report.first_label} to {report.last_label}, {rows}" if report.row == "day" else rows
        if report.missing:
            text += f" ({report.missing:,} left out for missing values)"
        self.say(f"{report.title} of {report.source}", style="bold")
        self.say(text, style="dim")
        if report.left_out:
            left_out = ", ".join(f"{name} ({reason})" for name, reason in report.left_out.items())
            self.say(f"Columns left out: {left_out}", style="dim")
        self.console.print()
        verb = "loses" if report.es >= 0 else "gains"
        sentence = Text(f"On the worst {100 - 100 * report.level:.4g} % of {report.row}s this portfolio {verb} ")
        sentence.append(self.number(abs(report.es)) + (" %" if report.percent else ""), style="bold")
        self.say(sentence.append(" on average (ES)."))
        self.console.print()

    def figures(self) -> None:
        """Print risk and return of the portfolio, and its certificate."""
        report, certificate = self.report, self.report.certificate
        mean = number_format([report.mean], report.percent, self.symbols.infinity)
        table = self.table()
        for heading in (f"ES {percent(report.level)}", f"VaR {percent(report.level)}", "mean", "mean/ES"):
            table.add_column(heading, justify="right")
        cells = [self.number(report.var), mean(report.mean), f"{report.ratio:.4f}"]
        if report.turnover is not None:
            table.add_column("turnover", justify="right")
            table.add_column("costs", justify="right")
            cells += [f"{100 * report.turnover:.1f} %", mean(report.costs)]
        table.add_row(Text(self.number(report.es), style="bold"), *cells)
        self.show(f"Risk and return per {report.row}{self.unit}", table)
        end = "more" if certificate.largest else "less"
        self.say(
            f"Certified: {certificate.measure} of {certificate.value:.10g}, and no allowed weights have {end} than "
            f"{certificate.bound:.10g} (relative gap {certificate.gap:.1e}, {report.seconds:.2g} s).\n",
            style="dim",
        )

    def holdings(self) -> None:
        """Print the weights and what each contributes to ES, largest weight first."""
        report = self.report
        number = number_format([one.es for one in report.holdings], report.percent, self.symbols.infinity)
        weights = [one.weight for one in report.holdings]
        table = self.table(footer=True)
        table.add_column("Asset", "total", min_width=5)
        table.add_column("weight", f"{100 * sum(weights):.2f} %", justify="right")
        table.add_column("")
        table.add_column("contribution", Text(number(report.es), style="bold"), justify="right")
        table.add_column("share", "100.0 %", justify="right")
        table.add_column("ES alone", number(sum(one.standalone_es for one in report.holdings)), justify="right")
        for one in report.holdings:
            table.add_row(
                self.name(one.name),
                Text(f"{100 * one.weight:.2f} %", style="bold"),
                Text(bar(one.weight, weights, self.symbols), style="cyan"),
                number(one.es),
                f"{100 * one.share:.1f} %",
                Text(number(one.standalone_es), style="dim"),
            )
        rest = len(report.weights) - len(report.holdings)
        more = f"; {rest} asset{'s have' if rest > 1 else ' has'} none" if rest else ""
        self.show(f"Weights and their contributions to ES{self.unit}{more}", table, spare=1)

    def duals(self) -> None:
        """Print what the constraints cost that bind."""
        if not self.report.duals:
            return
        table = self.table()
        table.add_column("constraint")
        table.add_column("per unit", justify="right")
        duals = sorted_duals(self.report)
        for name, dual in duals[:SHOWN_DUALS]:
            table.add_row(Text(name), f"{dual:+.4g}")
        rest = len(duals) - SHOWN_DUALS
        more = f"; {rest} more: --json" if rest > 0 else ""
        self.show(f"What one more unit of each limit that binds adds to {self.report.certificate.measure}{more}", table)

    def worst(self) -> None:
        """Print the worst outcomes of the portfolio."""
        report = self.report
        title = f"{report.row}s of the portfolio{self.unit}"
        self.outcomes(title, report.worst, report.row == "day", self.number, drivers=len(report.names) > 1)

    def frontier(self) -> None:
        """Print one line for each portfolio of the frontier."""
        report = self.report
        if not report.frontier:
            return
        mean = number_format([point.mean for point in report.frontier], report.percent, self.symbols.infinity)
        table = self.table()
        for heading in ("mean", "ES", "VaR", "mean/ES", "assets", "gap"):
            table.add_column(heading, justify="right")
        table.add_column("largest weights")
        for point in report.frontier:
            held = held_assets(report, point)
            table.add_row(
                mean(point.mean),
                Text(self.number(point.es), style="bold"),
                self.number(point.var),
                f"{point.ratio:.4f}",
                str(len(held)),
                Text(f"{point.gap:.0e}", style="dim"),
                Text(", ".join(f"{self.name(name)} {100 * weight:.0f} %" for name, weight in held[:3]), style="dim"),
            )
        self.show(f"Efficient frontier: the least ES for each mean{self.unit}", table, spare=1)
