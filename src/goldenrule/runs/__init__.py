"""Options, and what a run keeps on disk: its folder, its history, its verified files.

Reading order: options, machines, training_options, report_options, cluster_options, image_source · store ·
verified_files · history · finished · review_journal, decided_labels · listed, removal · environment · optimizers.
"""
