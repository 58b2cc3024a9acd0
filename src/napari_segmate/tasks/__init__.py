"""One-shot jobs: image and parameters in, result out; one file is one job."""
