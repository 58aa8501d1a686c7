"""From tidy scores to tests, workbook, plots and page; no torch."""
