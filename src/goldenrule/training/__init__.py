"""Stories of training: their folder, their plan, their choices, and the loop for what is not convex."""
