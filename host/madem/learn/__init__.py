"""Learning a task: plan, train, test, compare with others, report."""
