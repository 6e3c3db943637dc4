"""What a developer does with an agent folder: make one, check it, talk with it, test it."""
