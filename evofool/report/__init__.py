"""From rows to what people read: pages, figures, tables; for any experiment, knowing none.

A report is a function of rows, so that it can be drawn again at any time::

    def report(rows: Rows, config: Config) -> Report:
        table = Table([Text("net"), Rate("errors", bounds=("low", "high"))], cells_of(rows))
        figures = light_and_dark("curves", partial(draw, rows))
        section = Section("Errors", figures=[Figure("curves", "...")], tables=[table])
        page = sections_page("Nets, compared", [section], files=["nets.csv"])
        return Report(page, figures, {"nets.csv": table})

`evofool.report.output` has `Report`, which writes itself into a run folder. ``tables`` and
``columns`` hold the typed table, ``figures`` what all plots share, ``sections`` pages made of
generic sections, ``page`` the rendering of pages with a template of their own, and ``theme`` the
colours of all.
"""
