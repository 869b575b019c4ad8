"""Each page that is written, as a function from values to HTML (templates/, one base).

Reading order: run_page · audit_page, insight_page, evaluation_page, explained_page · comparison_page, search_page.
"""
