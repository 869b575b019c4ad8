"""Several networks trained several ways on the same images, compared.

Reading order: comparing · entries · compared_networks · comparison_report.
"""
