"""What a job is: values and interfaces that do no input or output."""
