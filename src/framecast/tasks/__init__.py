"""What is predicted from what: one file a task with its data set, loss, prediction and scores."""
