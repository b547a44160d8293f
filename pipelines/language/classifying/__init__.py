"""What the training and use of classifiers of texts share."""
