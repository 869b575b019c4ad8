"""Where the batches of a training come from, and what is made of them on their way.

Reading order: training_data · parts · batches · batch_augmentation · hidden_heads (trained on cached features) ·
terminal_curves.
"""
