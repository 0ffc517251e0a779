"""Everything that speaks to S3 and its compatibles; the only place that imports boto3. Worker room."""
