"""How Tandem is deployed and watched."""
