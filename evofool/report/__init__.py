"""From rows to what people read: pages, figures, tables. It knows no experiment and no run kind.

`Report` is what an experiment draws from its rows; `Report.write` puts it into a run folder.
"""
