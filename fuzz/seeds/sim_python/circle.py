def f(x=[]):
    x.append(x)
    return f
f()()
