"""What is learned: tasks, and the readers of files and recordings that they come from."""
