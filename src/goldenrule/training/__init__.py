"""Training on one screen each: the loop, what a fit does around it, and the learner of lesson 2.

Reading order: loop · loss, schedule, runtime · fitting · checkpoint, early_stopping, snapshots, kept_epochs ·
lr_finder · state, verb_runner, learner · averaging, crossing · plan, settings, diagnostics · custom_metrics, loggers;
then inputs.
"""
