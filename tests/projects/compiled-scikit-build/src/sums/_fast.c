#include <Python.h>

static PyObject *add(PyObject *self, PyObject *args)
{
    long left, right;

    if (!PyArg_ParseTuple(args, "ll", &left, &right))
        return NULL;
    return PyLong_FromLong(left + right);
}

static PyMethodDef methods[] = {{"add", add, METH_VARARGS, "The sum of two numbers."}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fast", NULL, -1, methods};

PyMODINIT_FUNC PyInit__fast(void)
{
    return PyModule_Create(&module);
}
