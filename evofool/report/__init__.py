"""From rows to what people read: pages, figures, tables. It knows no experiment and no run kind.

A report is a function of rows, so that it can be drawn again at any time::

    def report(rows: Rows, config: Config) -> Report:
        table = Table([Text("net"), Rate("errors", bounds=("low", "high"))], cells_of(rows))
        figures = light_and_dark("curves", partial(draw, rows))
        section = Section("Errors", figures=[Figure("curves", "...")], tables=[table])
        page = sections_page("Nets, compared", [section], files=["nets.csv"])
        return Report(page, figures, {"nets.csv": table})

`evofool.report.output` has `Report`, which writes itself into a run folder; ``tables`` and
``columns`` the typed table, ``figures`` what plots share, ``sections`` pages without a template of
their own, ``page`` the rules of those with one, and ``theme`` the colours of all.
"""
