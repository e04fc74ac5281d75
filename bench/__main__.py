"""`make bench`: every measurement, one after the other. Ratios within one run; nothing is asserted."""

from bench import apart, cold_start, http_clients, startup, sweep

for measurement in (http_clients, sweep, apart, cold_start, startup):
    print(f"\n{(measurement.__doc__ or '').splitlines()[0]}")
    measurement.main()
