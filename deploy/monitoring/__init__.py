"""What makes the dashboards and the rules of the service levels: `python -m deploy.monitoring` writes them.

Grafana's JSON and a rule for each of seven windows are for machines; these files are what people change. Alerts on
causes are few and of one kind each: they are written by hand in deploy/helm/tandem/rules/.
"""
