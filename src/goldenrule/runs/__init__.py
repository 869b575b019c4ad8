"""Options, and what a run keeps on disk: its folder, its history, its verified files.

Reading order: options, training_options, report_options, image_source · store · verified_files · history · finished ·
listed, removal · environment · optimizers.
"""
