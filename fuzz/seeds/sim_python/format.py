print('%*d %-8.3f %s' % (9, 3, 2.5, 'x'), '{0:>8}{a!r}'.format(1, a=b'x'))
