ğ<*>if 1:
 pass
