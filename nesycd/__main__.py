"""`python -m nesycd`: the same as the command `nesycd`."""

from nesycd.cli.main import app

if __name__ == "__main__":
    app(prog_name="nesycd")
