"""Networks of the transformers library, from a folder or the Hugging Face hub: as data, never by code of their own."""
