"""Users' files: read column by column (`read`), and judged (`judge`)."""
